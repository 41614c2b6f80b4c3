"""The pure core: from what was seen to what must be written. No clock, no I/O; ``api`` and the standard library only.

``claims`` and ``classify`` say what a change is, ``policy`` what it needs, ``plan`` how it goes out, ``decide`` what
happens next. The operator, ``explain`` and the model tests run the same functions.
"""
