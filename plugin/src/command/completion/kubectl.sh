#!/bin/sh
# Save as kubectl_complete-canary in your PATH, executable: `kubectl canary <Tab>` asks it.
exec kubectl-canary __complete "$@"
