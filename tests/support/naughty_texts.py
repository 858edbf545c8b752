"""Texts that have broken spreadsheet and CSV writers before."""

# ruff: noqa: RUF001 -- characters that look like others are the point

from __future__ import annotations

FORMULAS = (
    "=1+1",
    "+1",
    "-5",
    "@SUM(A1)",
    "=cmd|'/c calc'!A1",
    '=HYPERLINK("http://x.example","click")',
    '=WEBSERVICE("http://x.example")',
    '=IMPORTXML("http://x.example","//a")',
    "＝1+1",
    "＋1",
    "－1",
    "＠A1",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    " =1+1",
    "'=1+1",
    'a","=1',
    "=",
    "-",
)
LINKS = (
    "http://example.com",
    "https://example.com/a?b=c&d=e",
    "mailto:a@b.example",
    "internal:Sheet2!A1",
    "file:///etc/passwd",
)
NUMBER_LIKE = (
    "9007199254740993",
    "12345678901234567890",
    "00123",
    "1e5",
    "1/2",
    "4111111111111111",
    "1E400",
    "NaN",
    "Infinity",
    "0x1F",
    "1,000",
    "１２３",
    "TRUE",
    "2025-03-14",
    "#N/A",
    "#REF!",
)
WHITESPACE = (
    " leading",
    "trailing ",
    "  both  ",
    " ",
    "\t",
    "\n",
    "\r",
    "\r\n",
    "a\nb",
    "a\rb",
    "a\r\nb",
    "a\n",
    "\nb",
    "a\r",
    "tab\tinside",
    "\u00a0nbsp\u00a0",
    "\u3000ideographic\u3000",
    "\u2028line separator\u2029",
    "\x85next line",
    "a  b   c",
)
ESCAPES = (
    "_x0041_",
    "_x0041_x0042_",
    "_x005F_",
    "_x005F_x0041_",
    "_x000d_",
    "_x0041\x07",
    "_x0041\ufffe",
    "__x0041__",
    "_x41_",
    "_X0041_",
    "_xGGGG_",
    "_x0000_",
)
CONTROLS = (*(f"a{chr(code)}b" for code in range(1, 32)), "\x7f", "\x80\x9f", "\x07", "\x1b[31mred\x1b[0m")
NON_CHARACTERS = ("a\ufffeb", "\uffff", "\ufeffbom", "\ufdd0", "\U0001fffe", "\ufffd")
MARKUP = (
    "<b>&amp;</b>",
    "a & b < c > d",
    "]]>",
    "<![CDATA[x]]>",
    "<!-- x -->",
    '"quoted"',
    "'single'",
    "&#10;",
    "</t></is></c></row>",
    "<?xml?>",
)
SEPARATORS = ("a,b;c|d\te", 'say ""hi""', '"', '""', ",", ";", "a\\b", "\\n", "%s%n{0}")
UNICODE = (
    "中文字符",
    "日本語テキスト",
    "한국어",
    "עברית",
    "العربية",
    "emoji 😀👍🏽👨‍👩‍👧‍👦🇨🇳",
    "e\u0301 combining",
    "Z̴̡̛a̵̧͠l̶̨̀g̷̢͝o̸͎͂",
    "\U00020000\U0002a6d6 rare han",
    "\u202etxt.exe",
    "\u200bzero\u200bwidth",
    "ſtraße ΐ İ",
    "\U0010ffff",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢",
)
WORDS = ("null", "NULL", "None", "undefined", "true", "false", "nil", "0", "")

NAUGHTY_TEXTS = (
    FORMULAS
    + LINKS
    + NUMBER_LIKE
    + WHITESPACE
    + ESCAPES
    + CONTROLS
    + NON_CHARACTERS
    + MARKUP
    + SEPARATORS
    + UNICODE
    + WORDS
)
