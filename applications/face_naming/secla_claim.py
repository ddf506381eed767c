"""The claim of SECLA at laptop size: two directions and their agreement beat each single direction."""

from functools import partial

from applications.claims import CLAIM, OBSERVATION, Arm, ArmResult, Check, Claim
from applications.face_naming.callbacks import NamingAccuracy
from applications.face_naming.corpus import DigitWorld, IdentityWorld
from applications.face_naming.evaluation import bounds, score
from applications.face_naming.face_bank import is_easy
from applications.face_naming.formats import PhotoBatches
from applications.face_naming.secla import SECLA, Recipe
from applications.face_naming.secla_b import fit_stages

PHOTOS = 1500
NAMES_TO_FACES, FACES_TO_NAMES, BOTH, AGREEMENT, EASY, TWO_STAGES = (
    "names to faces only",
    "faces to names only",
    "both directions",
    "both and agreement",
    "easy photos only (first stage)",
    "SECLA-B (both stages)",
)


def _all_photos(photos, features, epochs, seed, callbacks, **options):
    recipe = Recipe.small(epochs)
    batches = PhotoBatches(photos, features, recipe.batch_size, seed=seed)
    model = SECLA.small(batches, **options)
    model.compile(**recipe.compile_options(len(photos)))
    model.fit(batches, epochs=epochs, shuffle=False, verbose=0, callbacks=callbacks)
    return model


def _easy_photos(photos, features, epochs, seed, callbacks):
    return _all_photos([*filter(is_easy, photos)], features, epochs, seed, callbacks)


def _two_stages(photos, features, epochs, seed, callbacks):
    recipes = Recipe.small(epochs), Recipe.small(max(1, epochs // 2))
    return fit_stages(photos, features, *recipes, seed=seed, callbacks=callbacks, verbose=0)[1]


ARMS = {
    NAMES_TO_FACES: partial(_all_photos, direction="names_to_faces", agreement=None),
    FACES_TO_NAMES: partial(_all_photos, direction="faces_to_names", agreement=None),
    BOTH: partial(_all_photos, agreement=None),
    AGREEMENT: _all_photos,
    EASY: _easy_photos,
    TWO_STAGES: _two_stages,
}


def claims() -> list[Claim]:
    """The experiment on identity vectors, which checks the claim, and on pixels, as it comes out."""
    at_least = Check("face accuracy with agreement is at least .94", lambda r: _mean(r, AGREEMENT) >= 0.94)
    return [
        _claim("identity vectors", identity_photos, 20, [at_least, *_checks(CLAIM)]),
        _claim("digit photos", digit_photos, 8, _checks(OBSERVATION)),
    ]


def _claim(corpus, make_photos, epochs, checks):
    return Claim(
        task="face_naming",
        paper="secla",
        corpus=corpus,
        primary_metric="face_accuracy",
        arms=[Arm(name, partial(_run, make_photos, epochs, train)) for name, train in ARMS.items()],
        checks=checks,
        reference=AGREEMENT,
        baselines=partial(_baselines, make_photos),
    )


def _checks(kind):
    singles = [
        Check(
            f"both and agreement is above {name}",
            lambda r, name=name: _mean(r, AGREEMENT) > _mean(r, name),
            kind,
        )
        for name in (NAMES_TO_FACES, FACES_TO_NAMES)
    ]
    return [
        *singles,
        Check(
            "agreement loses at most .005 against both directions",
            lambda r: _mean(r, AGREEMENT) >= _mean(r, BOTH) - 0.005,
            kind,
        ),
        Check(
            "the second stage of SECLA-B gains at least .1 on the first",
            lambda r: _mean(r, TWO_STAGES) >= _mean(r, EASY) + 0.1,
            kind,
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


def _run(make_photos, epochs, train, *, seed, fast):
    photos, held_out, features = make_photos(seed, 60 if fast else PHOTOS)
    watch = NamingAccuracy(photos, features)
    model = train(photos, features, 1 if fast else epochs, seed, [watch])
    history = model.history.history
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
