"""JupyterLab, as `run.py lab` opens it: a notebook runs, and its sliders redraw."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

ROOT = Path(__file__).parents[2]
STARTING, RUNNING, REDRAWING = 60, 240, 20  # seconds allowed
SETTINGS = {
    "@jupyterlab/apputils-extension/notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
    },
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
}


def playful():
    """The first notebook with a cell to play with."""
    for path in sorted(ROOT.glob("notebooks/*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        if any("interactive" in cell["metadata"].get("tags", []) for cell in cells):
            return path
    return None


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address of a JupyterLab on a copy of the notebooks, with nothing of ours."""
    home = tmp_path_factory.mktemp("lab")
    for part in ("notebooks", "qlib"):  # a copy, so that runs/ is written there
        shutil.copytree(ROOT / part, home / part)
    for name, content in SETTINGS.items():
        path = home / "settings" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(16)
    flags = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,
        "ServerApp.root_dir": home / "notebooks",
        "IdentityProvider.token": token,
        "LabApp.expose_app_in_browser": True,
        "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
        "LabApp.news_url": "",
    }
    folders = {
        "HOME": "home",
        "IPYTHONDIR": "ipython",
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "QLIB_RUN_DIRECTORY": None,
    }
    environment = {**os.environ, "PYTHONPATH": str(home)}
    for name, folder in folders.items():
        environment.pop(name, None)
        if folder:
            (home / folder).mkdir(exist_ok=True)
            environment[name] = str(home / folder)
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    with (home / "log").open("w") as log:
        server = subprocess.Popen(
            [*command, *(f"--{flag}={value}" for flag, value in flags.items())],
            env=environment,
            stdout=log,
            stderr=log,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        _await_answer(f"{address}/api?token={token}", server, home / "log")
        yield address, token
    finally:
        _stop(server)


def _await_answer(address, server, log):
    end = time.monotonic() + STARTING
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    pytest.fail(f"JupyterLab did not start: {log.read_text()[-2000:]}")


def _stop(server):
    """End the server and every kernel that it started."""
    family = [server]
    if server.poll() is None:
        family += psutil.Process(server.pid).children(recursive=True)
        server.terminate()
    try:
        server.wait(20)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
    for process in family[1:]:
        if process.is_running():
            process.kill()


@pytest.fixture(scope="module")
def opened(browser, lab):
    """The notebook in JupyterLab after all its cells have run."""
    path = playful()
    if path is None:
        pytest.skip("no notebook has a cell tagged 'interactive'")
    address, token = lab
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    page = context.new_page()
    page.outside = []

    def pass_local(route):
        if urlsplit(route.request.url).hostname in ("127.0.0.1", None):
            route.continue_()
        else:
            page.outside.append(route.request.url)
            route.abort()

    context.route("**/*", pass_local)
    page.goto(f"{address}/lab/tree/{path.name}?token={token}")
    page.wait_for_function(
        "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel",
        timeout=1000 * STARTING,
    )
    page.set_default_timeout(1000 * RUNNING)
    page.evaluate(
        """async () => {
        const panel = window.jupyterapp.shell.currentWidget;
        await panel.sessionContext.ready;
        await window.jupyterapp.commands.execute('notebook:run-all-cells');
        }"""
    )
    page.wait_for_function(
        "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status"
        " === 'idle'",
    )
    page.set_default_timeout(1000 * REDRAWING)
    yield page
    context.close()


def test_all_cells_run_without_an_error(opened):
    cells = opened.evaluate(
        "window.jupyterapp.shell.currentWidget.content.model.sharedModel.cells"
        ".map(cell => cell.toJSON())"
    )
    code = [cell for cell in cells if cell["cell_type"] == "code" and cell["source"]]
    assert all(cell["execution_count"] for cell in code)
    errors = [
        output
        for cell in code
        for output in cell["outputs"]
        if output["output_type"] == "error"
    ]
    assert errors == []


def test_nothing_outside_this_machine_is_asked_for(opened):
    assert opened.outside == []


def test_moving_a_slider_by_keyboard_changes_the_figure(opened):
    handle = opened.locator(".jupyter-widgets.widget-slider .noUi-handle").first
    handle.scroll_into_view_if_needed()
    area = opened.locator(".jp-Cell", has=opened.locator(".widget-slider")).first
    image = area.locator("img").first
    image.wait_for()
    before = image.get_attribute("src")
    readout = area.locator(".widget-readout").first
    value = readout.inner_text()
    handle.focus()
    opened.keyboard.press("ArrowRight")
    opened.wait_for_function(
        "([image, before]) => document.contains(image) ? image.src !== before : true",
        arg=[image.element_handle(), before],
    )
    image.wait_for()
    assert image.get_attribute("src") != before
    assert readout.inner_text() != value


def test_arrow_keys_slide_the_frames_here_too(opened):
    frames = opened.locator(".jp-Notebook .qlib-frames").first
    if frames.count() == 0:
        pytest.skip("the notebook shows no frames")
    shown = frames.locator("img:visible")
    before = shown.get_attribute("alt")
    frames.locator("input:checked").focus()
    opened.keyboard.press("ArrowRight")
    assert shown.count() == 1
    assert shown.get_attribute("alt") != before
