import pytest

from applications.face_naming.captions import names_in_caption
from applications.face_naming.name_proposals import propose_names

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("caption", "names"),
    [
        ("NASA astronaut Eileen Collins in 1999", ["Eileen Collins"]),
        ("President George W. Bush and Tony Blair, right, shake hands.", ["George W. Bush", "Tony Blair"]),
        ("French Foreign Minister Dominique de Villepin speaks", ["Dominique de Villepin"]),
        ("Ursula von der Leyen meets Mohammed bin Salman.", ["Ursula von der Leyen", "Mohammed bin Salman"]),
        ("Syria's leader Bashar al-Assad", ["Syria", "Bashar al-Assad"]),
        ("Valéry Giscard d'Estaing with Shaquille O'Neal", ["Valéry Giscard d'Estaing", "Shaquille O'Neal"]),
        ("Jean-Pierre Raffarin\u2019s wife", ["Jean-Pierre Raffarin"]),
        ("Sen. John F. Kerry (D-Mass.) with Rep. Nancy Pelosi", ["John F. Kerry", "D-Mass", "Nancy Pelosi"]),
        ("U.S. Secretary of State Colin Powell", ["Colin Powell"]),
        ("Pope John Paul II waves. Pope Francis does not.", ["John Paul II", "Francis"]),
        (
            "Billie Jean King and Martin Luther King Jr. in May",
            ["Billie Jean King", "Martin Luther King Jr."],
        ),
        ("Theresa May, photographed on Tuesday, 5 May", ["Theresa May"]),
        ("J.R.R. Tolkien with C. S. Lewis", ["J.R.R. Tolkien", "C. S. Lewis"]),
        ("Łukasz Żyła trifft Ågot Østby; Émile Zola", ["Łukasz Żyła", "Ågot Østby", "Émile Zola"]),
        ("Владимир Путин и Ангела Меркель", ["Владимир Путин", "Ангела Меркель"]),
        ("George W. Bush waves; later Bush leaves.", ["George W. Bush"]),
        ("Ann Miller, Ann Miller and Tom", ["Ann Miller", "Tom"]),
        ("While Tony Blair spoke, two listened. In Rome.", ["Tony Blair", "Rome"]),
        ("Two men. The President! A Dr. in the house", []),
        ("“The Rock” Dwayne Johnson", ["Rock", "Dwayne Johnson"]),
        ("PRESIDENT BUSH MEETS TONY BLAIR", []),
        ("nobody is named here, 1999", []),
        ("習近平 شارك", []),
        ("I saw U2 and B. at 5 p.m.", []),
        ("U.N. Secretary-General Kofi Annan. REUTERS/Kevin Lamarque", ["Kofi Annan", "Kevin Lamarque"]),
        ("Real Madrid in Paris", ["Real Madrid", "Paris"]),
        ("Pat St. John\nKim Ng", ["Pat St. John", "Kim Ng"]),
        ("", []),
        (" \n\t", []),
    ],
)
def test_captions(caption, names):
    assert list(propose_names(caption)) == names


def test_accents_may_be_composed_or_not():
    assert (
        propose_names("Rene\u0301e Fleming") == propose_names("Ren\u00e9e Fleming") == ("Ren\u00e9e Fleming",)
    )


def test_what_is_proposed_is_found_in_the_caption_again():
    caption = "Charles de Gaulle, Bashar al-Assad and Shaquille O'Neal with Dr. J. W. Smith-Jones"
    proposed = propose_names(caption)
    assert len(proposed) == 4
    assert names_in_caption(caption, proposed) == proposed


def test_long_and_odd_texts_end():
    assert propose_names("A.-" * 5000 + "é'" * 5000 + "\x00<script>") == ()
    assert len(propose_names(" and ".join(f"Ann {chr(65 + i)}xy" for i in range(26)) * 20)) > 26


def test_a_caption_must_be_text():
    with pytest.raises(TypeError, match="caption must be a string, got NoneType"):
        propose_names(None)
