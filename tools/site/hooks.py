"""What MkDocs calls while it builds the site: files besides docs/, links, formulas, generated tables."""

from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from tools.site import formulas, notebook, outside, parameters, slugs, text

EXPLORER = "reports/explore.html"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Anchors as the repository's own pages have them, and the explorer where there is one."""
    config.mdx_configs.setdefault("toc", {})["slugify"] = slugs.slug
    config.nav = _shown(config.nav)
    if (outside.ROOT / EXPLORER).exists():
        config.nav.append({"Explorer": EXPLORER})
    return config


def _shown(nav: Any) -> Any:
    """The order of the pages, with notebooks as the pages that they become."""
    if isinstance(nav, str):
        return outside.page(nav)
    if isinstance(nav, dict):
        return {title: _shown(below) for title, below in nav.items()}
    return [_shown(entry) for entry in nav]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Reports, notebooks and changelog beside docs/."""
    for path in outside.files():
        files.append(_file(path, config))
        if path.endswith(".ipynb"):
            shown = notebook.markdown(outside.ROOT / path)
            files.append(File.generated(config, outside.page(path), content=shown))
    return files


def _file(path: str, config: MkDocsConfig) -> File:
    source = outside.ROOT / path
    if source.suffix == ".html":
        text_of = outside.html_with_links(source.read_text(encoding="utf-8"))
        return File.generated(config, path, content=text_of)
    return File.generated(config, path, abs_src_path=str(source))


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """The text of a page as the site has it."""
    place = page.file.src_uri
    markdown = text.with_graphs(parameters.with_tables(markdown))
    markdown = text.outside_of_code(markdown, text.without_comments)
    return text.outside_of_code(markdown, lambda part: outside.with_links(part, place))


def on_page_content(html: str, **_: Any) -> str:
    return formulas.with_formulas(html)
