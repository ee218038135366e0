"""Who listens: from names and objects in several places to one manager."""
