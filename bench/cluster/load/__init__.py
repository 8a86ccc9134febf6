"""The load generator: clients (`crowd`) and pushes (`pusher`) from processes of their own, and what they count."""
