"""Other libraries, measured beside ours: the same ratings, the same threads, in turn, each in a process of its own.

In: a table of ratings and which peers. Out: seconds, memory and quality of each. Next: `bench.refit --peers` prints them.

`compare` splits the ratings, starts a `worker` for each contestant and measures what comes back. The workers of `libraries`
run in another Python environment, without reelstream: they import nothing but numpy, pyarrow and their library.
"""
