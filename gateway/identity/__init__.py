"""Who a client is: tokens and the grants they carry."""
