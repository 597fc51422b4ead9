"""`python -m cli.sandbox`: the sandbox alone, without what the other commands load."""

from cli.sandbox.command import app

if __name__ == "__main__":
    app()
