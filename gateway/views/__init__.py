"""The article's Redis keys (design §7): who is connected, for people and other services to look at. Never the truth."""
