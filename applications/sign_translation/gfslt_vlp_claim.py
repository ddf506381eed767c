"""The claim of GFSLT-VLP at laptop size: pretraining gives translation a head start.

All arms translate with the same network, the same 200 pairs and the same number of epochs. They differ in
what it starts from: nothing but stage 0, which no arm goes without; the visual encoder of stage 1 (VLP-v1);
the visual encoder and the decoder of stage 1 (VLP-v2).
"""

from functools import partial

from applications.claims import OBSERVATION, Arm, Check, Claim
from applications.sign_translation.gfslt_vlp_experiment import (
    AFTER,
    BEFORE,
    baselines,
    chances,
    retrieve,
    translate,
)

SCRATCH, V1, V2 = "from scratch", "VLP-v1", "VLP-v2"
LONG_SCRATCH, LONG_V2 = "from scratch, 60 epochs", "VLP-v2, 60 epochs"
EQUAL = "from scratch, 78 epochs (as many passes as both stages)"
FROZEN = {arm: f"{arm}, frame encoder frozen" for arm in (SCRATCH, V1, V2)}


def claims() -> list[Claim]:
    """The experiment, and what stage 1 learns by itself."""
    arms = [
        Arm(SCRATCH, partial(translate, variant=None)),
        Arm(V1, partial(translate, variant="v1")),
        Arm(V2, partial(translate, variant="v2")),
        Arm(LONG_SCRATCH, partial(translate, variant=None, budget="long_epochs")),
        Arm(LONG_V2, partial(translate, variant="v2", budget="long_epochs")),
        Arm(EQUAL, partial(translate, variant=None, budget="equal_epochs")),
        *(
            Arm(name, partial(translate, variant=variant, frozen=True, budget="frozen_epochs"))
            for name, variant in zip(FROZEN.values(), (None, "v1", "v2"), strict=True)
        ),
    ]
    return [
        Claim(
            task="sign_translation",
            paper="gfslt_vlp",
            corpus="rendered signing",
            primary_metric="bleu_4",
            arms=arms,
            checks=[
                Check(
                    "VLP-v1 is above the same network from scratch (30 epochs)",
                    lambda r: _mean(r, V1) > _mean(r, SCRATCH),
                ),
                Check("VLP-v2 is above VLP-v1 (30 epochs)", lambda r: _mean(r, V2) > _mean(r, V1)),
                Check(
                    "VLP-v2 is above the same network from scratch by 3 or more with 60 epochs as well",
                    lambda r: _mean(r, LONG_V2) >= _mean(r, LONG_SCRATCH) + 3,
                    OBSERVATION,
                ),
                Check(
                    "VLP-v2 is above a training from scratch with as many passes over the pairs",
                    lambda r: _mean(r, V2) > _mean(r, EQUAL),
                    OBSERVATION,
                ),
                Check(
                    "with a frozen frame encoder VLP-v1 and VLP-v2 are above from scratch (40 epochs)",
                    lambda r: min(_mean(r, FROZEN[V1]), _mean(r, FROZEN[V2])) > _mean(r, FROZEN[SCRATCH]),
                    OBSERVATION,
                ),
                Check(
                    "every arm watches the video: it is above its score on other clips' sentences by 10",
                    lambda r: all(
                        arm["bleu_4"]["mean"] > arm["shuffled_bleu_4"]["mean"] + 10
                        for arm in r["arms"].values()
                    ),
                    OBSERVATION,
                ),
            ],
            reference=SCRATCH,
            baselines=baselines,
        ),
        Claim(
            task="sign_translation",
            paper="gfslt_vlp",
            corpus="rendered signing, clip to sentence",
            primary_metric="recall_at_1",
            arms=[Arm(name, partial(retrieve, when=name)) for name in (BEFORE, AFTER)],
            checks=[
                Check(
                    "stage 1 finds the sentence of an unseen clip more often than by chance",
                    lambda r: r["arms"][AFTER]["recall_at_1"]["mean"] > 3 * _chance(r)["recall_at_1"],
                    OBSERVATION,
                )
            ],
            reference=BEFORE,
            baselines=chances,
        ),
    ]


def _chance(result):
    return result["baselines"]["chance"]


def _mean(result, arm):
    return result["arms"][arm]["bleu_4"]["mean"]
