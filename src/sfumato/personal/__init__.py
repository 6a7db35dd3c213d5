"""Personal styles: learning a person's taste from rated pictures and answers.

This package is not public: its names may change.
"""
