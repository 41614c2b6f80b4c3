"""The command line: ``rollwarden``, also installed as ``kubectl-rollwarden``.

The only package that imports typer and rich. A command reads (files or the API server, as the caller), asks ``core``,
and prints; the API server is reached through ``kube``, which is imported only by commands that need it.

    main        the app, its commands, what an error looks like
    session     the options that commands share; output
    yamlfile    YAML and JSON files → plain data           manifests  plain data → the kinds, errors as sentences
    steps       Argo's canary steps: check, count, say     explanation  what would happen to a Rollout, and why
    cluster     the caller's API server                    changes      finding a Change, saying what is next for it
    deciding    one decision on one change                 bycommit     one decision on one commit, across Rollouts
    commits     which changes carry a commit               fitting      whether a decision of a person fits a change
    rehearsal   breaking the glass, and trying it          patience     writes that the server cannot take yet
"""
