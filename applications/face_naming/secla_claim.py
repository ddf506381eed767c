"""The claim of SECLA at laptop size: two directions and their agreement beat each single direction."""

from functools import partial

from applications.claims import OBSERVATION, Arm, ArmResult, Check, Claim
from applications.face_naming.callbacks import NamingAccuracy
from applications.face_naming.corpus import DigitWorld, IdentityWorld
from applications.face_naming.evaluation import bounds, score
from applications.face_naming.formats import PhotoBatches
from applications.face_naming.secla import SECLA, Recipe

PHOTOS = 1500
NAMES_TO_FACES, FACES_TO_NAMES, BOTH, AGREEMENT = (
    "names to faces only",
    "faces to names only",
    "both directions",
    "both and agreement",
)
ARMS = {
    NAMES_TO_FACES: {"direction": "names_to_faces", "agreement": None},
    FACES_TO_NAMES: {"direction": "faces_to_names", "agreement": None},
    BOTH: {"agreement": None},
    AGREEMENT: {},
}


def claims() -> list[Claim]:
    """The experiment on identity vectors, which checks the claim, and on pixels, as it comes out."""
    return [
        Claim(
            task="face_naming",
            paper="secla",
            corpus="identity vectors",
            primary_metric="face_accuracy",
            arms=[Arm(name, partial(_run, identity_photos, 20, options)) for name, options in ARMS.items()],
            checks=[
                Check("face accuracy with agreement is at least .94", lambda r: _mean(r, AGREEMENT) >= 0.94),
                Check(
                    "both and agreement is above names to faces only",
                    lambda r: _mean(r, AGREEMENT) > _mean(r, NAMES_TO_FACES),
                ),
                Check(
                    "both and agreement is above faces to names only",
                    lambda r: _mean(r, AGREEMENT) > _mean(r, FACES_TO_NAMES),
                ),
                Check(
                    "agreement loses at most .005 against both directions",
                    lambda r: _mean(r, AGREEMENT) >= _mean(r, BOTH) - 0.005,
                ),
            ],
            reference=AGREEMENT,
            baselines=partial(_baselines, identity_photos),
        ),
        Claim(
            task="face_naming",
            paper="secla",
            corpus="digit photos",
            primary_metric="face_accuracy",
            arms=[Arm(name, partial(_run, digit_photos, 8, options)) for name, options in ARMS.items()],
            checks=[
                Check(
                    "both and agreement is above each single direction",
                    lambda r: _mean(r, AGREEMENT) > max(_mean(r, NAMES_TO_FACES), _mean(r, FACES_TO_NAMES)),
                    OBSERVATION,
                ),
                Check(
                    "agreement loses at most .005 against both directions",
                    lambda r: _mean(r, AGREEMENT) >= _mean(r, BOTH) - 0.005,
                    OBSERVATION,
                ),
            ],
            reference=AGREEMENT,
            baselines=partial(_baselines, digit_photos),
        ),
    ]


def identity_photos(seed, photos):
    """Photos to train on, as many held-out photos as a fifth of them, and the name features."""
    world = IdentityWorld(seed)
    return world.photos(photos), world.photos(max(1, photos // 5), seed=1), world.name_features


def digit_photos(seed, photos):
    """Likewise, of handwritten digits; names are spelled, so that there are no name features."""
    world = DigitWorld(seed)
    return world.photos(photos), world.photos(max(1, photos // 5), "test"), None


def _run(make_photos, epochs, options, *, seed, fast):
    photos, held_out, features = make_photos(seed, 60 if fast else PHOTOS)
    recipe = Recipe.small(1 if fast else epochs)
    batches = PhotoBatches(photos, features, recipe.batch_size, seed=seed)
    model = SECLA.small(batches, **options)
    model.compile(recipe.optimizer(len(photos)))
    watch = NamingAccuracy(photos, features)
    history = model.fit(batches, epochs=recipe.epochs, shuffle=False, verbose=0, callbacks=[watch]).history
    scores = score(photos, model.name_faces(watch.batches))
    unseen = PhotoBatches(held_out, features, batch_size=250, shuffle=False)
    metrics = {key: scores[key] for key in ("face_accuracy", "f1", "noname_accuracy")}
    metrics["held_out_face_accuracy"] = score(held_out, model.name_faces(unseen))["face_accuracy"]
    return ArmResult(metrics, {key: history[key] for key in ("loss", "face_accuracy")})


def _baselines(make_photos, *, seeds, fast):
    """Mean over the seeds' photos of the bounds that need no model."""
    each = []
    for seed in seeds:
        photos, held_out, _ = make_photos(seed, 60 if fast else PHOTOS)
        each.append((bounds(photos), bounds(held_out)))
    names = {"chance": "chance", "all NONAME": "all_noname", "all faces wrong": "all_wrong"}
    return {
        label: {
            **{
                metric: sum(fitted[name][metric] for fitted, _ in each) / len(each)
                for metric in ("face_accuracy", "f1", "noname_accuracy")
            },
            "held_out_face_accuracy": sum(unseen[name]["face_accuracy"] for _, unseen in each) / len(each),
        }
        for label, name in names.items()
    }


def _mean(result, arm):
    return result["arms"][arm]["face_accuracy"]["mean"]
