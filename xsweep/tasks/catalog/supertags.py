"""The labels of CCG supertagging."""

from __future__ import annotations

OTHER = "OTHER"
"""What stands for every rarer category. The field counts such words as wrong; here they are a label like others."""

_CATEGORIES = r"""
, . : ; N S NP PP LRB N/N N\N RRB S/S S\S N/NP S\NP conj NP/NP NP\NP PP/NP PP/PP PP\PP S[wq] N[num] S[frg] (N/N)/N
(N\N)/N (S/S)/N (S\S)/N N/S[em] NP[thr] S[b]\NP S[intj] (N/N)/NP (N/N)\NP (N\N)/NP (S/S)/NP (S/S)/PP (S/S)\NP (S\S)/NP
(S\S)/PP N/N[num] N/S[dcl] N/S[for] NP[expl] NP[nb]/N S/S[dcl] S[ng]\NP S[pt]\NP S[to]\NP (NP\NP)/N (NP\NP)/S
(PP\PP)/N NP/S[dcl] PP/S[dcl] PP/S[qem] S[adj]\NP S[dcl]/NP S[dcl]\NP S[frg]/NP S[inv]/NP S[pss]\NP conj/conj
conj\conj (NP/NP)/NP (NP\NP)/NP (NP\NP)/PP (NP\NP)\NP (PP/PP)/NP (PP\NP)/NP (PP\PP)/NP (PP\PP)\NP (S\S)/S[q]
S[asup]\NP S[em]/S[b] S[wq]/S[q] (N/N)/(N/N) (N/N)\(N/N) (S/S)/(S/S) (S/S)\(S/S) (S\S)/(S\S) S[bem]/S[b] (N/N)/N[num]
(S/S)/S[dcl] (S/S)/S[inv] (S[b]\NP)/NP (S[b]\NP)/PP (S[q]/NP)/NP (S\S)/S[dcl] S[em]/S[dcl] ((S/S)/PP)/NP ((S/S)\NP)/NP
(NP[nb]/N)\NP (S[dcl]\NP)/S (S[ng]\NP)/NP (S[ng]\NP)/PP (S[pt]\NP)/NP (S[pt]\NP)/PP (S\NP)/(S\NP) (S\NP)\(S\NP)
PP/(S[ng]\NP) S/(S[dcl]\NP) S[dcl]/S[inv] S[qem]/S[dcl] (NP\NP)/N[num] (NP\NP)/S[dcl] (NP\NP)/S[inv] (NP\NP)/S[qem]
(PP\PP)/S[dcl] (S[adj]\NP)/NP (S[adj]\NP)/PP (S[adj]\NP)\NP (S[dcl]/NP)/NP (S[dcl]\NP)/NP (S[dcl]\NP)/PP
(S[dcl]\PP)/NP (S[pss]\NP)/NP (S[pss]\NP)/PP NP/(S[dcl]/NP) NP/(S[dcl]\NP) PP/(S[adj]\NP) S[poss]/S[dcl]
((N/N)\(N/N))/N ((NP\NP)/PP)/NP ((NP\NP)\NP)/NP (NP/NP)/(NP/NP) (NP\NP)/(NP\NP) (NP\NP)\(NP\NP) (PP/PP)/(PP/PP)
(PP\PP)/(PP\PP) (S[b]\NP)/S[em] (S\S)/(S[b]\NP) S[wq]/(S[q]/NP) ((N/N)\(N/N))/NP ((S/S)/(S/S))/NP ((S/S)\(S/S))/NP
(S/S)/(S[ng]\NP) (S[b]\NP)/S[dcl] (S[b]\NP)/S[qem] (S[dcl]\NP)/S[b] (S[ng]\NP)/S[em] (S[pt]\NP)/S[em] (S\S)/(S[ng]\NP)
((S/S)\NP)/S[dcl] ((S[b]\NP)/NP)/NP ((S[b]\NP)/NP)/PP ((S[b]\NP)/PP)/NP ((S[b]\NP)/PP)/PP ((S\NP)/(S\NP))/N
((S\NP)\(S\NP))/N ((S\NP)\(S\NP))/S (N/N)/(S[adj]\NP) (N/N)\(S[adj]\NP) (NP\NP)/(S[b]\NP) (S/S)/(S[adj]\NP)
(S/S)/(S[dcl]\NP) (S/S)/(S[pss]\NP) (S[adj]\NP)/S[em] (S[dcl]\NP)/S[em] (S[dcl]\NP)/S[wq] (S[dcl]\S[wq])/NP
(S[ng]\NP)/S[bem] (S[ng]\NP)/S[dcl] (S[ng]\NP)/S[for] (S[ng]\NP)/S[qem] (S[pss]\NP)/S[em] (S[pt]\NP)/S[dcl]
(S[pt]\NP)/S[qem] (S\S)/(S[dcl]\NP) S[qem]/(S[to]\NP) S[wq]/(S[dcl]\NP) ((S[ng]\NP)/NP)/NP ((S[ng]\NP)/NP)/PP
((S[ng]\NP)/PP)/NP ((S[ng]\NP)/PP)/PP ((S[pt]\NP)/NP)/NP ((S[pt]\NP)/PP)/NP ((S\NP)/(S\NP))/NP ((S\NP)/(S\NP))/PP
((S\NP)/(S\NP))\NP ((S\NP)\(S\NP))/NP ((S\NP)\(S\NP))/PP ((S\NP)\(S\NP))\NP (N/N)/(S[asup]\NP) (N/PP)/(S[adj]\NP)
(NP/(S[dcl]/NP))/N (NP/(S[dcl]\NP))/N (NP\NP)/(S[ng]\NP) (NP\NP)/(S[to]\NP) (PP/(S[ng]\NP))/NP (S/S)/(S[asup]\NP)
(S[adj]\NP)/N[num] (S[adj]\NP)/S[dcl] (S[adj]\NP)/S[for] (S[dcl]/S[dcl])/NP (S[dcl]\NP)/S[bem] (S[dcl]\NP)/S[dcl]
(S[dcl]\NP)/S[for] (S[dcl]\NP)/S[qem] (S[dcl]\S[dcl])/NP (S[dcl]\S[dcl])\NP (S[pss]\NP)/S[dcl] (S[pss]\NP)/S[qem]
NP/((S[to]\NP)/NP) S[qem]/(S[dcl]/NP) S[qem]/(S[dcl]\NP) ((N/N)\(N/N))/(N/N) ((S[adj]\NP)/PP)/NP ((S[adj]\NP)/PP)/PP
((S[adj]\NP)\NP)/PP ((S[dcl]\NP)/NP)/NP ((S[dcl]\NP)/NP)/PP ((S[dcl]\NP)/PP)/NP ((S[dcl]\NP)/PP)/PP
((S[pss]\NP)/PP)/PP (NP/NP)/(S[adj]\NP) (NP/NP)\(S[adj]\NP) (NP\NP)/(S[adj]\NP) (NP\NP)/(S[dcl]/NP)
(NP\NP)/(S[dcl]\NP) (NP\NP)/(S[pss]\NP) (S[b]\NP)/(S[b]\NP) (S[dcl]\NP[thr])/NP (S[pss]\NP)/(PP/NP)
(S[q]/(S[b]\NP))/NP (S[wq]/(S[q]/NP))/N ((NP\NP)/(NP\NP))/NP ((NP\NP)\(NP\NP))/NP ((NP\NP)\(NP\NP))\NP
((S/S)/(S[b]\NP))/NP ((S/S)\(S/S))/S[dcl] ((S[b]\NP)/S[em])/NP (NP/NP)/(S[asup]\NP) (S[b]\NP)/(S[ng]\NP)
(S[b]\NP)/(S[pt]\NP) (S[b]\NP)/(S[to]\NP) (S[ng]\NP)/(S[b]\NP) (S[pt]\NP)/(S[b]\NP) (S[q]/(S[ng]\NP))/NP
(S[to]\NP)/(S[b]\NP) ((S/S)/(S[ng]\NP))/NP ((S/S)/(S[pt]\NP))/NP ((S[b]\NP)/S[dcl])/NP ((S[b]\NP)/S[qem])/NP
((S[ng]\NP)/S[em])/NP ((S\NP)\(S\NP))/S[em] ((S\NP)\(S\NP))/S[ng] (S[b]\NP)/(S[adj]\NP) (S[b]\NP)/(S[pss]\NP)
(S[dcl]/(S[b]\NP))/NP (S[dcl]\(S[b]\NP))/NP (S[dcl]\(S[b]\NP))\NP (S[dcl]\NP)/(S[b]\NP) (S[ng]\NP)/(S[ng]\NP)
(S[ng]\NP)/(S[pt]\NP) (S[ng]\NP)/(S[to]\NP) (S[pt]\NP)/(S[ng]\NP) (S[pt]\NP)/(S[to]\NP) (S[q]/(S[adj]\NP))/NP
(((S[b]\NP)/PP)/PP)/NP ((S/S)/(S[adj]\NP))/NP ((S[dcl]\NP)/S[em])/NP ((S\NP)/(S\NP))/S[dcl] ((S\NP)\(S\NP))/N[num]
((S\NP)\(S\NP))/S[dcl] ((S\NP)\(S\NP))/S[inv] ((S\NP)\(S\NP))/S[qem] (S[adj]\NP)/(S[ng]\NP) (S[adj]\NP)/(S[to]\NP)
(S[dcl]/(S[pt]\NP))/NP (S[dcl]\(S[ng]\NP))/NP (S[dcl]\NP)/(S[ng]\NP) (S[dcl]\NP)/(S[pt]\NP) (S[dcl]\NP)/(S[to]\NP)
(S[for]/(S[to]\NP))/NP (S[ng]\NP)/(S[adj]\NP) (S[ng]\NP)/(S[pss]\NP) (S[pss]\NP)/(S[ng]\NP) (S[pss]\NP)/(S[to]\NP)
(S[pt]\NP)/(S[adj]\NP) (S[pt]\NP)/(S[pss]\NP) (S[qem]/(S[dcl]/NP))/N (S[qem]/(S[dcl]\NP))/N (((S\NP)\(S\NP))/NP)/NP
(((S\NP)\(S\NP))/PP)/NP (((S\NP)\(S\NP))\NP)/NP ((NP\NP)/(S[dcl]\NP))/N ((NP\NP)/(S[ng]\NP))/NP
((NP\NP)/(S[to]\NP))/NP ((S[dcl]\NP)/S[dcl])/NP ((S[dcl]\NP)/S[qem])/NP ((S[dcl]\S[dcl])\NP)/NP
((S\NP)\(S\NP))/S[poss] (S[adj]\NP)/(S[adj]\NP) (S[adj]\NP)\(S[adj]\NP) (S[dcl]\(S[adj]\NP))/NP
(S[dcl]\(S[pss]\NP))/NP (S[dcl]\NP)/(S[adj]\NP) (S[dcl]\NP)/(S[dcl]\NP) (S[dcl]\NP)/(S[pss]\NP)
(S[pss]\NP)/(S[adj]\NP) (S[pss]\NP)/(S[pss]\NP) (((S[dcl]\NP)/PP)/PP)/NP ((NP\NP)\(NP\NP))/S[dcl]
((S[b]\NP)/(S[b]\NP))/NP ((N/N)/(N/N))\(S[adj]\NP) ((N/N)\(N/N))/(S[adj]\NP) ((S[b]\NP)/(S[ng]\NP))/NP
((S[b]\NP)/(S[pt]\NP))/NP ((S[b]\NP)/(S[to]\NP))/NP ((S[b]\NP)/(S[to]\NP))/PP ((S[ng]\NP)/(S[b]\NP))/NP
((S[pt]\NP)/(S[b]\NP))/NP ((S\NP)\(S\NP))/(S[b]\NP) ((N/N)/(N/N))/(S[asup]\NP) ((S/S)/S[dcl])/(S[adj]\NP)
((S[b]\NP)/(S[adj]\NP))/NP ((S[b]\NP)/(S[pss]\NP))/NP ((S[b]\NP)/NP)/(S[adj]\NP) ((S[b]\NP)/PP)/(S[adj]\NP)
((S[dcl]\NP)/(S[b]\NP))/NP ((S[dcl]\NP)\NP)/(S[b]\NP) ((S[ng]\NP)/(S[ng]\NP))/NP ((S[ng]\NP)/(S[to]\NP))/NP
((S[pt]\NP)/(S[ng]\NP))/NP ((S[pt]\NP)/(S[to]\NP))/NP ((S\NP)/(S\NP))/(S[ng]\NP) ((S\NP)\(S\NP))/(S[ng]\NP)
((S\NP)\(S\NP))/(S[to]\NP) (S[dcl]\NP[thr])/(S[b]\NP) (((S\NP)\(S\NP))\NP)/S[dcl] ((N/N)/(N/N))/((N/N)/(N/N))
((NP[nb]/N)/PP)/(S[adj]\NP) ((S[adj]\NP)/(S[adj]\NP))/N ((S[dcl]\NP)/(S[ng]\NP))/NP ((S[dcl]\NP)/(S[to]\NP))/NP
((S[dcl]\NP)/(S[to]\NP))/PP ((S[ng]\NP)/(S[adj]\NP))/NP ((S[ng]\NP)/(S[pss]\NP))/NP ((S[ng]\NP)/NP)/(S[adj]\NP)
((S[ng]\NP)/PP)/(S[adj]\NP) ((S[pss]\NP)/(S[to]\NP))/PP ((S[pt]\NP)/(S[adj]\NP))/NP ((S\NP)/(S\NP))/(S[adj]\NP)
((S\NP)/(S\NP))/(S[pss]\NP) ((S\NP)/(S\NP))\(S[adj]\NP) ((S\NP)\(S\NP))/(S[adj]\NP) ((S\NP)\(S\NP))/(S[dcl]/NP)
((S\NP)\(S\NP))/(S[dcl]\NP) ((S\NP)\(S\NP))/(S[pss]\NP) (S[adj]\NP)/((S[to]\NP)/NP) (S[dcl]\NP[expl])/(S[b]\NP)
(S[dcl]\NP[thr])/(S[pt]\NP) (S[qem]/S[dcl])/(S[adj]\NP) ((S[adj]\NP)\(S[adj]\NP))/NP ((S[adj]\NP)\(S[adj]\NP))/PP
((S[dcl]\NP)/(S[adj]\NP))/NP ((S[dcl]\NP)/(S[adj]\NP))/PP ((S[dcl]\NP)/(S[pss]\NP))/NP ((S[dcl]\NP)/NP)/(S[adj]\NP)
((S[dcl]\NP)/NP)/(S[dcl]\NP) ((S[dcl]\NP)/PP)/(S[adj]\NP) ((S[dcl]\NP[expl])/S[em])/NP ((S[dcl]\NP[expl])/S[em])/PP
((S[pss]\NP)/PP)/(S[adj]\NP) ((S\NP)/(S\NP))/(S[asup]\NP) (S[dcl]\NP[expl])/(S[pt]\NP) ((NP/NP)/(NP/NP))\(S[adj]\NP)
((NP\NP)/(S[dcl]\NP))\(NP/NP) ((NP\NP)/S[dcl])\((NP\NP)/NP) ((NP\NP)\(NP\NP))/(S[dcl]\NP)
(S[dcl]\NP[expl])/(S[pss]\NP) (((S\NP)\(S\NP))/(S[to]\NP))/N ((S[b]\NP)/S[for])/(S[adj]\NP)
((S[dcl]\NP[expl])/(NP\NP))/NP (((S\NP)\(S\NP))/(S[ng]\NP))/NP (((S\NP)\(S\NP))/(S[pt]\NP))/NP
(((S\NP)\(S\NP))/(S[to]\NP))/NP ((S[adj]\NP)/S[em])/(S[adj]\NP) ((S\NP)/(S\NP))/((S\NP)/(S\NP))
((S\NP)/(S\NP))\((S\NP)/(S\NP)) ((S\NP)\(S\NP))/((S\NP)\(S\NP)) ((S\NP)\(S\NP))\((S\NP)\(S\NP))
(((S\NP)\(S\NP))/(S[pss]\NP))/NP ((S[adj]\NP)/S[dcl])/(S[adj]\NP) ((S[adj]\NP)\(S[adj]\NP))/S[dcl]
((S[dcl]\NP[expl])/(S[to]\NP))/NP ((NP[nb]/N)\(NP[nb]/N))/(NP[nb]/N) ((S[b]\NP)/(S[to]\NP))/(S[adj]\NP)
(((S\NP)\(S\NP))\((S\NP)\(S\NP)))/N ((NP\NP)/(NP\NP))/((NP\NP)/(NP\NP)) ((NP\NP)\(NP\NP))/((NP\NP)\(NP\NP))
(((S\NP)/(S\NP))\((S\NP)/(S\NP)))/NP (((S\NP)\(S\NP))/((S\NP)\(S\NP)))/NP (((S\NP)\(S\NP))\((S\NP)\(S\NP)))/NP
(((S\NP)\(S\NP))\((S\NP)\(S\NP)))/PP (((S\NP)\(S\NP))\((S\NP)\(S\NP)))\NP ((S[adj]\NP)/(S[to]\NP))/(S[adj]\NP)
((S[adj]\NP)\(S[adj]\NP))/(S[ng]\NP) ((S[dcl]\NP)/(S[to]\NP))/(S[adj]\NP) ((S[qem]/(S[dcl]/NP))/N)/(S[adj]\NP)
((S[qem]/(S[dcl]\NP))/N)/(S[adj]\NP) ((S[adj]\NP)\(S[adj]\NP))/(S[adj]\NP) ((S[adj]\NP)\(S[adj]\NP))/(S[pss]\NP)
((S[dcl]\NP[expl])/S[em])/(S[adj]\NP) ((S[dcl]\NP[expl])/S[for])/(S[adj]\NP) ((S[dcl]\NP[expl])/S[qem])/(S[adj]\NP)
(((S\NP)\(S\NP))\((S\NP)\(S\NP)))/S[dcl] (((S[b]\NP)/S[for])/(S[adj]\NP))/NP[expl]
(S[qem]/(S[dcl]/(S[adj]\NP)))/(S[adj]\NP) (((S[dcl]\NP)/S[em])/(S[adj]\NP))/NP[expl]
((S[dcl]\NP[expl])/(S[to]\NP))/(S[adj]\NP) (((S\NP)\(S\NP))\((S\NP)\(S\NP)))/(S[adj]\NP)
(((S\NP)\(S\NP))\((S\NP)\(S\NP)))/(S[pss]\NP) (((S\NP)\(S\NP))/((S\NP)\(S\NP)))/(S[asup]\NP)
(((S[dcl]\NP)/(S[to]\NP))/(S[adj]\NP))/NP[expl] (((S\NP)\(S\NP))\((S\NP)\(S\NP)))/((S\NP)\(S\NP))
((S[adj]\NP)/(S[adj]\NP))/((S[adj]\NP)/(S[adj]\NP)) ((S[adj]\NP)\(S[adj]\NP))/((S[adj]\NP)\(S[adj]\NP))
(((NP\NP)/(NP\NP))\((NP\NP)/(NP\NP)))/((NP\NP)/(NP\NP))
(((S\NP)\(S\NP))/((S\NP)\(S\NP)))/(((S\NP)\(S\NP))/((S\NP)\(S\NP)))
(((S\NP)\(S\NP))\((S\NP)\(S\NP)))/(((S\NP)\(S\NP))\((S\NP)\(S\NP)))
((((S\NP)\(S\NP))/((S\NP)\(S\NP)))/(((S\NP)\(S\NP))/((S\NP)\(S\NP))))\(S[adj]\NP)
((((S\NP)\(S\NP))/((S\NP)\(S\NP)))/(((S\NP)\(S\NP))/((S\NP)\(S\NP))))/(S[asup]\NP)
(((S[adj]\NP)/(S[adj]\NP))/((S[adj]\NP)/(S[adj]\NP)))/(((S[adj]\NP)/(S[adj]\NP))/((S[adj]\NP)/(S[adj]\NP)))
"""

SUPERTAGS = tuple(_CATEGORIES.split())
"""The 425 categories that occur ten times or more in sections 02 to 21 of CCGbank (Clark and Curran 2007), short first.

LRB and RRB are those of brackets.
"""
