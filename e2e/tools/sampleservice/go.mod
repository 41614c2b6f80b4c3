module rollwarden.dev/e2e/tools/sampleservice

go 1.26.0
