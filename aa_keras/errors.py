"""The error for what a user can put right."""


class UserError(ValueError):
    """A flag, field, path or file that cannot be used: its one-line message says which, and what would do.

    The command-line programs print the message alone; any other exception is a defect and keeps its traceback.
    """
