"""The article's Redis keys (docs/design.md, "Views"): who is connected, for people and other services to look at. Never
the truth.
"""
