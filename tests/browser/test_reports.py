"""Every page in a real browser: offline, drawn, readable, on any width, by keyboard."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = ["index", *sorted(path.stem for path in ROOT.glob("notebooks/*.ipynb"))]

# The lowest ratio (WCAG 2.2) of any text to what lies behind it, with the text.
LOWEST_CONTRAST = """() => {
  const parse = c => (c.match(/[\\d.]+/g) || []).map(Number);
  const light = c => {
    const [r, g, b] = c.slice(0, 3).map(v => v / 255).map(
      v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const blend = (top, alpha, below) => top.slice(0, 3).map(
    (v, k) => alpha * v + (1 - alpha) * below[k]);
  const behind = element => {
    if (!element) return matchMedia('(prefers-color-scheme: dark)').matches
      ? [18, 18, 18] : [255, 255, 255];
    const c = parse(getComputedStyle(element).backgroundColor);
    const alpha = c.length > 3 ? c[3] : 1;
    return alpha === 1 ? c : blend(c, alpha, behind(element.parentElement));
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let worst = [99, ''];
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim();
    const element = walker.currentNode.parentElement;
    if (!text || element.closest('style') || !element.checkVisibility(
      {visibilityProperty: true})) continue;
    let opacity = 1;
    for (let e = element; e; e = e.parentElement)
      opacity *= Number(getComputedStyle(e).opacity);
    const ground = behind(element);
    const ink = blend(parse(getComputedStyle(element).color), opacity, ground);
    const [high, low] = [light(ink), light(ground)].sort((a, b) => b - a);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < worst[0]) worst = [ratio, text];
  }
  return worst;
}"""


@pytest.fixture
def open_page(browser, quick_reports):
    """A function that opens a report offline; requests beyond the file are counted."""
    contexts = []

    def open_(name, **settings):
        context = browser.new_context(offline=True, **settings)
        contexts.append(context)
        page = context.new_page()
        address = (quick_reports / f"{name}.html").as_uri()
        page.outside = []
        page.faults = []
        page.on(
            "request",
            lambda request: (
                page.outside.append(request.url)
                if request.url != address and not request.url.startswith("data:")
                else None
            ),
        )
        page.on("console", lambda message: page.faults.append(message.text))
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        page.goto(address, wait_until="networkidle")
        return page

    yield open_
    for context in contexts:
        context.close()


@pytest.mark.parametrize("name", NAMES)
def test_a_report_asks_for_nothing_beyond_its_file(open_page, name):
    page = open_page(name)
    assert page.outside == []
    assert page.faults == []


@pytest.mark.parametrize("name", NAMES)
def test_no_raw_tex_meets_the_eye(open_page, name):
    page = open_page(name)
    page.evaluate("document.querySelectorAll('code, pre').forEach(e => e.remove())")
    seen = page.evaluate("document.body.innerText")
    assert not re.search(r"\\[A-Za-z]+|\$\$|\$[^$\s][^$]*\$", seen)


@pytest.mark.parametrize("name", NAMES)
def test_every_image_and_formula_is_drawn(open_page, name):
    page = open_page(name)
    widths = page.evaluate("[...document.images].map(image => image.naturalWidth)")
    assert widths
    assert min(widths) > 0
    areas = page.evaluate(
        "[...document.querySelectorAll('.math svg')].map(formula =>"
        " formula.getBBox().width * formula.getBoundingClientRect().width)"
    )
    assert all(area > 0 for area in areas)
    assert areas or name == "index"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", NAMES)
def test_text_has_contrast_aa_in_both_schemes(open_page, name, scheme):
    page = open_page(name, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    red = int(re.search(r"\d+", ground)[0])
    assert red > 200 if scheme == "light" else red < 60
    ratio, text = page.evaluate(LOWEST_CONTRAST)
    assert ratio >= 4.5, text


@pytest.mark.parametrize("width", [390, 820, 1400])
@pytest.mark.parametrize("name", NAMES)
def test_a_page_never_scrolls_sideways(open_page, name, width):
    page = open_page(name, viewport={"width": width, "height": 800})
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def shown_frames(page):
    return page.evaluate(
        "[...document.querySelectorAll('.qlib-frames')].map(figure =>"
        " [...figure.querySelectorAll('img')].filter(image => image.checkVisibility())"
        ".map(image => image.alt))"
    )


@pytest.mark.parametrize("name", NAMES[1:])
def test_arrow_keys_slide_the_frames(open_page, name):
    page = open_page(name)
    sliders = page.locator(".qlib-frames")
    if sliders.count() == 0:
        pytest.skip(f"{name} shows no frames")
    for number in range(sliders.count()):
        slider = sliders.nth(number)
        before = shown_frames(page)
        slider.locator("input:checked").focus()
        page.keyboard.press("ArrowRight")
        after = shown_frames(page)
        assert [len(images) for images in after] == [1] * len(after)
        assert [a == b for a, b in zip(before, after, strict=True)] == [
            k != number for k in range(len(after))
        ]
        page.keyboard.press("ArrowLeft")
        assert shown_frames(page) == before


@pytest.mark.parametrize("name", NAMES[1:])
def test_paper_shows_the_text_and_one_frame_and_no_code(open_page, name):
    page = open_page(name)
    page.emulate_media(media="print")
    assert page.locator("h1").is_visible()
    assert page.locator("figure").first.is_visible()
    assert not page.locator("details.code:visible").count()
    for images in shown_frames(page):
        assert len(images) == 1
    for note in page.locator(".on-paper").all():
        assert note.is_visible()


@pytest.mark.parametrize("name", NAMES[1:])
def test_contents_and_index_lead_somewhere(open_page, name):
    page = open_page(name)
    for link in page.locator(".toc a").all():
        assert page.locator(f'[id="{link.get_attribute("href")[1:]}"]').count() == 1
    page.locator(".bar a").click()
    assert page.title() == page.evaluate("document.title")
    assert page.locator(f'a[href="{name}.html"]').count() >= 1
