"""`lastmile demo`: synthetic traffic over 25 Indian cities, through the public API."""
