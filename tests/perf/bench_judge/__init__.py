"""Side by side: the judge and its peers' published rules on the same seeded data (`make bench-judge`)."""
