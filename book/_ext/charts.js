// Draws each figure of a page in the place of its picture; below it, what readers may save of it.
(function () {
  'use strict';
  const {datasets, figures} = window.teponesFigures;

  function csv(tables) {
    const rows = tables.flat();
    const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
    const cell = (value) => (/[",\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : value ?? '');
    const lines = [columns, ...rows.map((row) => columns.map((column) => row[column]))];
    return lines.map((line) => line.map(cell).join(',') + '\n').join('');
  }

  async function image(view, type) {
    // As on paper: what has the colour of the page's text is black in a file.
    view.background('white');
    const address = await view.toImageURL(type, type === 'png' ? 2 : 1);
    view.background('transparent');
    return address;
  }

  function save(address, name) {
    const link = document.createElement('a');
    link.href = address;
    link.download = name;
    link.click();
  }

  async function draw(key, {datasets: names, ...spec}) {
    const place = document.getElementById(`altair-${key}`);
    const own = Object.fromEntries(names.map((name) => [name, datasets[name]]));
    const {view} = await vegaEmbed(place, {...spec, datasets: own}, {renderer: 'svg', actions: false});
    const files = {
      'data as CSV': () => save(URL.createObjectURL(new Blob([csv(Object.values(own))], {type: 'text/csv'})), `${key}.csv`),
      SVG: async () => save(await image(view, 'svg'), `${key}.svg`),
      PNG: async () => save(await image(view, 'png'), `${key}.png`),
    };
    const list = document.createElement('div');
    list.className = 'chart-files';
    list.setAttribute('role', 'group');
    list.setAttribute('aria-label', 'Save the figure');
    for (const [words, action] of Object.entries(files)) {
      const button = document.createElement('button');
      button.type = 'button';
      button.textContent = words;
      button.addEventListener('click', action);
      list.append(button);
    }
    place.after(list);
    // What scrolls has to be in reach of the keyboard.
    new ResizeObserver(() => {
      if (place.scrollWidth > place.clientWidth) place.tabIndex = 0;
      else place.removeAttribute('tabindex');
    }).observe(place);
  }

  for (const [key, spec] of Object.entries(figures)) draw(key, spec);
})();
