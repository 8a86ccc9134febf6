"""Who is connected where: gateways write their own life, routers read them all."""
