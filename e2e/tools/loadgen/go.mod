module rollwarden.dev/e2e/tools/loadgen

go 1.26.0
