"""Loop nests: what compiled programs are made of, between a program's steps and LLVM."""
