"""The API types: each frozen Struct is wire type, CRD schema and core value at once.

Here: the four kinds of group ``rollwarden.dev``, the view we take of Argo's and Kubernetes' own objects, names of
annotations and reasons, and the generation of the CRDs. Not here: any rule about what the values mean (``core``).
"""
