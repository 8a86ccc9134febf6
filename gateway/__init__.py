"""The edge: a client comes in through the door, becomes a session; events go up, pushes come down."""
