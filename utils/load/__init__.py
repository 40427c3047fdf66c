"""Load on a server and how long its answers take: for benchmarks, and to tune a repository."""
