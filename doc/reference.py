#!/usr/bin/env python3
"""The reference, made from the public headers: their comments are the manual.

    reference.py functions HEADER...          'page function', one a line
    reference.py man VERSION DIR HEADER...    a page of section 3 for each header,
                                              and one that leads there for each function
    reference.py html VERSION FILE HEADER...  all of it on one page

A header is a comment that says what it is for, then pieces set apart by blank
lines: a comment, and what it is about.  A comment between rules opens a section.
"""
import html
import os
import re
import sys

SECTION = re.compile(r'/\*-{3,} *(.*?) *-+\*/$')
# Which package to link with, where it is not the library itself.
PACKAGES = {'thinpool/simulator.h': 'libthinpool-simulator'}
FUNCTION = re.compile(r'^(?!typedef)[a-z].*?\b(tp_\w+)\(', re.S | re.M)


class Header:
    def __init__(self, path):
        self.name = 'thinpool/' + os.path.basename(path)
        self.page = 'thinpool_' + os.path.basename(path)[:-2]
        text = open(path).read()
        intro, rest = text.split('#ifndef', 1)
        lines = comment_lines(intro.strip())
        end = lines.index('') if '' in lines else len(lines)
        self.title = ' '.join(lines[:end]).split(' - ', 1)[-1].rstrip('.')
        self.intro = lines[end + 1:]
        self.pieces = [piece(p) for p in split(body(rest))]

    def functions(self):
        return [f for _, _, code in self.pieces for f in functions(code)]


def body(text):
    """What lies between the guards, without what only a compiler needs."""
    text = re.sub(r'#ifdef __cplusplus.*?#endif\n', '', text, flags=re.S)
    lines = text.split('\n')[2:]
    lines = [l for l in lines if not l.startswith('#include')]
    while lines and lines[-1] in ('', '#endif'):
        lines.pop()
    return lines


def split(lines):
    """Pieces: runs of lines, set apart by blank ones outside braces and comments."""
    pieces, current, depth, in_comment = [], [], 0, False
    for line in lines:
        if not line and not depth and not in_comment:
            if current:
                pieces.append(current)
            current = []
            continue
        current.append(line)
        in_comment = (line.rfind('/*') > line.rfind('*/')) or (in_comment and '*/' not in line)
        depth += line.count('{') - line.count('}')
    return pieces + [current] if current else pieces


def piece(lines):
    """(section title, lines of comment, code)"""
    match = SECTION.match(lines[0])
    if match:
        return match.group(1), [], ''
    if not lines[0].startswith('/*'):
        return None, [], '\n'.join(lines)
    end = next(i for i, line in enumerate(lines) if line.endswith('*/')) + 1
    return None, comment_lines('\n'.join(lines[:end])), '\n'.join(lines[end:])


def comment_lines(comment):
    inner = comment[2:-2].strip('\n')
    return [re.sub(r'^ ?\* ?', '', line).rstrip() for line in inner.strip().split('\n')]


def functions(code):
    if code.startswith(('struct', 'enum', 'typedef', '#')) and '{' in code.split('(')[0]:
        return []
    return [m for m in FUNCTION.findall(code) if '(*' + m not in code]


def paragraphs(lines):
    """(text, whether its layout matters), one for each paragraph."""
    for block in '\n'.join(lines).split('\n\n'):
        rows = [r for r in block.split('\n') if r]
        if rows:
            aligned = any(re.search(r'^\s|[^.:;?!,)]\s{2,}\S|\t', r) for r in rows)
            yield ('\n'.join(rows) if aligned else ' '.join(r.strip() for r in rows)), aligned


# ---- man pages ---------------------------------------------------------------

def roff(text):
    text = text.replace('\\', '\\e').replace('-', '\\-')
    return re.sub(r'^([.\'])', r'\\&\1', text, flags=re.M)


def man_text(lines, out):
    for text, aligned in paragraphs(lines):
        if aligned:
            out += ['.PP', '.RS 4', '.nf', roff(text).expandtabs(), '.fi', '.RE']
        else:
            out += ['.PP', roff(text)]


def man_page(header, version):
    out = ['.TH "%s" 3 "" "libthinpool %s" "Library Functions"' % (header.page.upper(), version),
           '.SH NAME', '%s \\- %s' % (header.page, roff(header.title)),
           '.SH SYNOPSIS', '.nf', '.B #include <%s>' % header.name, '.fi', '.PP',
           'Link with', '.BR "pkg-config \\-\\-cflags \\-\\-libs %s" .' %
           roff(PACKAGES.get(header.name, 'libthinpool')),
           '.SH DESCRIPTION']
    man_text(header.intro, out)
    for title, comment, code in header.pieces:
        if title:
            out.append('.SH "%s"' % roff(title).upper())
            continue
        if code:
            out += ['.PP', '.nf', '.ft B', roff(code).expandtabs(), '.ft R', '.fi']
        if comment:
            out.append('.RS 4')
            man_text(comment, out)
            out.append('.RE')
    out += ['.SH "SEE ALSO"', '.BR libthinpool (7)']
    return '\n'.join(out) + '\n'


def write_man(version, directory, headers):
    for header in headers:
        with open(os.path.join(directory, header.page + '.3'), 'w') as f:
            f.write(man_page(header, version))
        for function in header.functions():
            with open(os.path.join(directory, function + '.3'), 'w') as f:
                f.write('.so man3/%s.3\n' % header.page)


# ---- HTML --------------------------------------------------------------------

STYLE = '''body { max-width: 52em; margin: 2em auto; padding: 0 1em; line-height: 1.45;
  font-family: sans-serif; color: #222; background: #fff; }
pre { background: #f4f4f1; padding: .6em .8em; overflow-x: auto; }
pre.code { border-left: 3px solid #47a; margin-bottom: .3em; }
h2 { margin-top: 2.5em; border-bottom: 1px solid #ccc; }
.about { margin: 0 0 1.6em 1em; }
nav code { margin-right: .6em; }'''


def html_text(lines, out):
    for text, aligned in paragraphs(lines):
        tag = 'pre' if aligned else 'p'
        out.append('<%s>%s</%s>' % (tag, html.escape(text), tag))


def html_piece(title, comment, code, out):
    if title:
        out.append('<h3>%s</h3>' % html.escape(title))
        return
    if code:
        anchors = ''.join('<a id="%s"></a>' % f for f in functions(code))
        out.append('%s<pre class="code">%s</pre>' % (anchors, html.escape(code)))
    if comment:
        out.append('<div class="about">')
        html_text(comment, out)
        out.append('</div>')


def html_page(version, headers):
    out = ['<!DOCTYPE html>', '<html lang="en"><head><meta charset="utf-8">',
           '<title>libthinpool %s</title>' % version, '<style>%s</style></head><body>' % STYLE,
           '<h1>libthinpool %s</h1>' % version, '<nav>']
    for header in headers:
        out.append('<p><a href="#%s"><b>%s</b></a> %s<br>' %
                   (header.page, header.name, html.escape(header.title)))
        out += ['<code><a href="#%s">%s</a></code>' % (f, f) for f in header.functions()]
        out.append('</p>')
    out.append('</nav>')
    for header in headers:
        out.append('<h2 id="%s">%s</h2>' % (header.page, header.name))
        html_text(header.intro, out)
        for title, comment, code in header.pieces:
            html_piece(title, comment, code, out)
    return '\n'.join(out + ['</body></html>', ''])


def main(arguments):
    command = arguments[0]
    headers = [Header(path) for path in arguments[1 if command == 'functions' else 3:]]
    if command == 'functions':
        for header in headers:
            for function in header.functions():
                print(header.page, function)
    elif command == 'man':
        write_man(arguments[1], arguments[2], headers)
    elif command == 'html':
        with open(arguments[2], 'w') as f:
            f.write(html_page(arguments[1], headers))
    else:
        sys.exit(__doc__)


if __name__ == '__main__':
    main(sys.argv[1:] or sys.exit(__doc__))
