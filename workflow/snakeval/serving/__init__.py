"""Model servers: what they are, and the pool that owns them."""
