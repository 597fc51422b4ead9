"""PostgreSQL: pools, migrations, micro-batched writes, and queries on the standby."""
