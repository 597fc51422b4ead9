"""The one-machine platform: PostgreSQL with a hot standby, Valkey, and every service, under one supervisor."""
