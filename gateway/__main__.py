"""`entrepot …`, and the same as `python -m gateway …`."""

from gateway.cli.main import app


def main() -> None:
    """Run the command line; exits the process."""
    app(prog_name="entrepot")


if __name__ == "__main__":
    main()
