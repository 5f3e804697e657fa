"""A differential test: the same random bytes to redis-server directly and through hive-proxy; the replies must be the same bytes.

commands.py draws single commands, streams.py whole conversations of several clients from them (nothing but the seed decides);
passes.py holds such a conversation with either side, compare.py judges what came back, and shrinks a conversation that failed;
masks.py is the one list of what may differ. `python3 -m differential --help`.
"""
