"""Whether and how strongly to align: information structure, similarity and a pilot, weighed into a recommendation."""

from tuplet.audit.advice import Advice, Curve, advise, gain_curve
from tuplet.audit.pilots import Pilot, pilot
from tuplet.audit.relation import Relation, related
from tuplet.audit.run import Audit, PairAudit, audit

__all__ = ["Advice", "Audit", "Curve", "PairAudit", "Pilot", "Relation", "advise", "audit", "gain_curve", "pilot", "related"]
