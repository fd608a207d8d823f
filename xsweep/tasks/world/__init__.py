"""The artificial world: a few invented languages with exact translations, made from meaning frames, without a network.

It exists so that the whole machine can be run and tested on a laptop. Transfer between its languages comes from words
that they share, not from anything a language model knows, so its figures check the machine and never the question.
"""
