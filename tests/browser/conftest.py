"""The system's Chromium, driven by Selenium, and a small net that is served to it."""

import shutil
import threading

import pytest
from helpers.browser import Page, chromium, missing
from helpers.images import class_tree
from helpers.nets import make_run
from helpers.runner import invoke

LETTERS = ("ant", "bee", "cat", "dog", "elk", "fox")


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/browser/" in item.nodeid:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def place(tmp_path_factory, small_recipe):
    """Images, a data set of them with its activations, and a net of two columns."""
    absent = missing()
    if absent:
        pytest.skip(absent)
    folder = tmp_path_factory.mktemp("browser")
    images = class_tree(folder / "images", LETTERS, 4)
    invoke("pack", "--train", images, "--val", images, "--data", folder / "data", "--encoding", "raw")
    make_run(folder / "run", small_recipe, folder / "data", 5)
    first = sorted(images.glob("*/*"))[0]
    invoke("similar", folder / "run", first, "--data", folder / "data", "--output", folder / "s.png", "--cpus", 0)
    return folder


@pytest.fixture(scope="session")
def address(place):
    """Where the net is served, in a thread of this process."""
    from gluon_alexnet import backend
    from gluon_alexnet.serving import app, connection
    from gluon_alexnet.workflows import serve

    service = serve.open_service(place / "run", backend.contexts("cpu", [0])[0], place / "data")
    listener = connection.listen("127.0.0.1", 0)
    built = app.build(serve.build_core(service), "0", ("localhost", "127.0.0.1"))
    started = threading.Event()
    server = connection.Server(built, service.limits, started.set)
    thread = threading.Thread(target=server.serve_in_thread, args=([listener],))
    thread.start()
    assert started.wait(30)
    yield connection.address_of(listener)
    server.should_exit = True
    thread.join(30)
    service.gallery.close()


@pytest.fixture(scope="session")
def browser(place, tmp_path_factory):
    profile = tmp_path_factory.mktemp("chromium")
    driver = chromium(profile)
    yield driver
    driver.quit()
    shutil.rmtree(profile, ignore_errors=True)


@pytest.fixture
def page(browser, address):
    """The page, loaded anew, its first example shown."""
    return Page(browser, address)
