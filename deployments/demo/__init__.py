"""`make demo`: all of Headrace on this machine, real purchases through it, and a look at what comes out."""
