"""Who is connected where: gateways write their own incarnation, routers read them all."""
