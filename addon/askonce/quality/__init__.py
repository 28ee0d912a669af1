"""How good the cache's decisions are, measured on labelled questions.

One rule: what decides is the product itself, a real `Cache` in a folder of its own; nothing here decides in its place,
but for the plain cosine thresholds that it is measured beside.

Of pairs, label 1 means that one answer serves both, and *served* means that the answer to `a` was given to `b`:

- recall: the share of label 1 that was served. false_reuse: the share of label 0 that was.
- wrong_share: the share of label 0 among what was served; 0 where nothing was.
- coverage_at_x: the largest share of all pairs that can be served, in order of falling score, with at most x wrong
  among them. Pairs of one score are served together or not at all; what a guard refused has score 0 and comes last.
- us_per_decision: microseconds of a whole lookup, the asked question's embedding included.
"""
