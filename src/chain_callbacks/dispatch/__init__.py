"""Who is told what, and how: routes, managers, runs and delivery. It knows handlers, not names."""
