"""A small model of what the operator lives among: an API server with the admission policies, Argo Rollouts, people.

It is written from what those parts were seen to do, not from the operator's code, so that a mistake in one does not
hide in the other. Everything is plain data; one call is one write.
"""
