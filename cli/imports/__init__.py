"""`lastmile import`: real data of others, through the public API."""
