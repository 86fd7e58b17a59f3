"""A trained net in the forms that other programs load."""
