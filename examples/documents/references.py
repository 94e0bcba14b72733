"""What PyYAML, markdown-it-py and obsidiantools read of a document."""

import json
import pathlib
import posixpath
import re
from urllib.parse import unquote

import yaml
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.footnote import footnote_plugin
from obsidiantools import md_utils

NULLS = {"", "~", "null", "Null", "NULL"}
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:|//")
FRONT = re.compile(r"\A\ufeff?---[ \t]*\r?\n(.*?\r?\n|)(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)", re.DOTALL)

MARKDOWN = MarkdownIt("commonmark", {"linkify": True}).enable(["table", "strikethrough", "linkify"])
MARKDOWN.use(dollarmath_plugin).use(footnote_plugin)
# GitHub's Markdown has no addresses without http, https, ftp or www.
MARKDOWN.linkify.set({"fuzzy_link": False, "fuzzy_email": False})


def leaves(value, key=""):
    """Each scalar below `value` with its key, both as text."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, f"{key}.{name}")
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, key)
    else:
        yield f"{key}={scalar(value)}"


def scalar(value):
    """A value as text, in the same form whoever read it."""
    if value is None or value in NULLS:
        return ""
    text = str(value).strip()
    if text.lower() in ("true", "false"):
        return text.lower()
    try:
        return repr(float(text)) if len(text) < 16 else text
    except ValueError:
        return text


def values_of_json(text):
    return set(leaves(json.loads(text))) if text else set()


class Document:
    def __init__(self, folder, name):
        self.folder = folder
        self.name = name
        text = (folder / name).read_text(encoding="utf-8", errors="replace")
        front = FRONT.match(text)
        self.front = front.group(1) if front else None
        self.body = text[front.end():] if front else text
        self.tokens = MARKDOWN.parse(self.body)

    def mapping(self):
        """The front matter with each scalar as its text; YAML 1.1 and 1.2 differ in types alone."""
        try:
            value = yaml.load(self.front, Loader=yaml.BaseLoader) if self.front else None
        except yaml.YAMLError:
            return {}
        return value if isinstance(value, dict) else {}

    def values(self):
        return set(leaves(self.mapping()))

    def title(self):
        title = self.mapping().get("title")
        if isinstance(title, str) and title.strip():
            return one_line(title)
        for opening, inline in zip(self.tokens, self.tokens[1:]):
            if opening.type == "heading_open" and opening.tag == "h1":
                text = one_line(text_of(inline))
                if text:
                    return text
        return posixpath.splitext(posixpath.basename(self.name))[0]

    def destinations(self):
        """The destinations of links; pictures are none."""
        inner = [inline for token in self.tokens for inline in token.children or []]
        return [it.attrs["href"] for it in inner if it.type == "link_open" and it.attrs.get("href")]

    def links(self, root):
        """Paths in the folder, which is called `root`; what leads out of it stays relative."""
        found = set()
        for destination in self.destinations():
            path = re.split("[#?]", destination)[0]
            if path and not SCHEME.match(destination):
                path = unquote(path)
                base = "" if path.startswith("/") else posixpath.dirname(self.name)
                path = posixpath.normpath(posixpath.join(base, path.lstrip("/")))
                found.add(path if path.startswith("../") else f"{root}/{path.removeprefix('.')}")
        return found

    def addresses(self):
        return {unquote(it) for it in self.destinations() if SCHEME.match(it)}

    def file(self):
        return pathlib.Path(self.folder) / self.name

    def wikilinks(self):
        """Links and embedded pages, without the files that are no documents."""
        names = md_utils.get_wikilinks(self.file(), exclude_canvas=False)
        names += md_utils.get_embedded_files(self.file())
        names = (it.split("|")[0].split("#")[0].rstrip("\\") for it in names)
        return {one_line(it) for it in names} - {""}

    def tags(self):
        own = self.mapping().get("tags") or []
        own = re.split(r"[,\s]+", own) if isinstance(own, str) else own
        # It takes the heading that a link names for a tag: `b.md#one>)`.
        inline = [it for it in md_utils.get_tags(self.file(), show_nested=True) if ">" not in it]
        return {str(it).strip().lstrip("#") for it in [*own, *inline]} - {""}


def one_line(text):
    return " ".join(text.split())


def text_of(inline):
    return "".join(it.content if it.type != "softbreak" else " " for it in inline.children or [])
