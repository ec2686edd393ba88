"""What the tests share: tests that run pytest inside."""

pytest_plugins = ["pytester"]
