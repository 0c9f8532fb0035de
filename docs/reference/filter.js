// Filters the rows of the task catalogue by the words in its search field.
document.addEventListener("DOMContentLoaded", () => {
  const field = document.getElementById("filter");
  if (!field) return;
  const rows = [...document.querySelectorAll("article tbody tr")];
  const texts = rows.map((row) => row.textContent.toLowerCase());
  field.hidden = false; // without JavaScript, the field would do nothing
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/);
    rows.forEach((row, n) => (row.hidden = !words.every((word) => texts[n].includes(word))));
  });
});
