//! One picture of many: those of a scene's cells, side by side where they belong.

use std::ops::Range;

use super::{PictureError, encode};

/// Where a picture belongs, in map units; x to the east, y to the north.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placed {
    /// West, south, east, north.
    pub bounds: [f64; 4],
    /// Rows and columns of the picture.
    pub shape: (usize, usize),
}

impl Placed {
    /// A picture and the map extent it shows: west, south, east, north. `name` is for messages.
    ///
    /// # Errors
    /// [`PictureError::Decode`].
    pub fn of(bounds: [f64; 4], png: &[u8], name: &str) -> Result<Self, PictureError> {
        let decode = |source| PictureError::Decode { name: name.to_owned(), source };
        let (cols, rows) = reader(png).into_dimensions().map_err(decode)?;
        Ok(Self { bounds, shape: (rows as usize, cols as usize) })
    }
}

/// A reader that refuses what is larger than any picture of ours.
fn reader(png: &[u8]) -> image::ImageReader<std::io::Cursor<&[u8]>> {
    let mut reader = image::ImageReader::with_format(std::io::Cursor::new(png), image::ImageFormat::Png);
    let mut limits = image::Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(4096), Some(4096));
    reader.limits(limits);
    reader
}

/// Longest edge of a mosaic, pixels.
const LONGEST: f64 = 1024.0;

/// A picture in the making: colours are averaged over all pixels of the parts that fall on one of its own.
#[derive(Debug)]
pub struct Mosaic {
    west: f64,
    north: f64,
    pixel: f64,
    rows: usize,
    cols: usize,
    /// Sums of red, green, blue, opaque pixels, and all pixels.
    sums: Vec<[u32; 5]>,
}

impl Mosaic {
    /// A mosaic for these parts: its pixel is that of the parts, or larger to keep within 1024 pixels. `None` when there is
    /// nothing to show.
    pub fn new(parts: &[Placed]) -> Option<Self> {
        let [mut west, mut south, mut east, mut north] =
            [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
        let mut finest = 0.0f64;
        for Placed { bounds: [w, s, e, n], shape: (rows, cols) } in parts {
            (west, south, east, north) = (west.min(*w), south.min(*s), east.max(*e), north.max(*n));
            finest = finest.max((e - w) / *cols as f64).max((n - s) / *rows as f64);
        }
        let (width, height) = (east - west, north - south);
        let pixel = finest.max(width / LONGEST).max(height / LONGEST);
        let usable = |v: f64| v.is_finite() && v > 0.0;
        if !(usable(width) && usable(height) && usable(pixel)) {
            return None;
        }
        let count = |length: f64| ((length / pixel) - 1e-6).ceil().max(1.0) as usize;
        let (rows, cols) = (count(height), count(width));
        Some(Self { west, north, pixel, rows, cols, sums: vec![[0; 5]; rows * cols] })
    }

    /// Adds a part: a PNG as [`png`](super::png) makes them. `name` is for messages.
    ///
    /// # Errors
    /// [`PictureError::Decode`].
    pub fn add(&mut self, part: &Placed, png: &[u8], name: &str) -> Result<(), PictureError> {
        let decode = |source| PictureError::Decode { name: name.to_owned(), source };
        let picture = reader(png).decode().map_err(decode)?.to_rgba8();
        let [west, south, east, north] = part.bounds;
        let (dx, dy) = ((east - west) / f64::from(picture.width()), (north - south) / f64::from(picture.height()));
        for (c, r, p) in picture.enumerate_pixels() {
            let col = (west + (f64::from(c) + 0.5) * dx - self.west) / self.pixel;
            let row = (self.north - north + (f64::from(r) + 0.5) * dy) / self.pixel;
            let (Some(col), Some(row)) = (inside(col, self.cols), inside(row, self.rows)) else { continue };
            let sums = &mut self.sums[row * self.cols + col];
            sums[4] += 1;
            if p.0[3] > 0 {
                (0..3).for_each(|k| sums[k] += u32::from(p.0[k]));
                sums[3] += 1;
            }
        }
        Ok(())
    }

    /// The mosaic as PNG, without the empty rim that cells leave around a scene.
    ///
    /// # Errors
    /// [`PictureError::Encode`].
    pub fn png(&self) -> Result<Vec<u8>, PictureError> {
        let line = |row: usize| &self.sums[row * self.cols..(row + 1) * self.cols];
        let is_shown = |[.., opaque, _]: &[u32; 5]| *opaque > 0;
        let rows = span(self.rows, |r| line(r).iter().any(is_shown));
        let cols = span(self.cols, |c| rows.clone().any(|r| is_shown(&line(r)[c])));
        let mut rgba = vec![0u8; rows.len() * cols.len() * 4];
        let shown = rows.clone().flat_map(|r| &line(r)[cols.clone()]);
        for (to, [red, green, blue, opaque, all]) in rgba.chunks_exact_mut(4).zip(shown) {
            if *opaque > 0 {
                let mean = |sum: &u32| ((sum + opaque / 2) / opaque) as u8;
                to.copy_from_slice(&[mean(red), mean(green), mean(blue), (255 * opaque / all) as u8]);
            }
        }
        encode(&rgba, (rows.len(), cols.len()))
    }
}

/// From the first to the last of `n` that is wanted; all when none is.
fn span(n: usize, is_wanted: impl Fn(usize) -> bool) -> Range<usize> {
    match ((0..n).find(|k| is_wanted(*k)), (0..n).rfind(|k| is_wanted(*k))) {
        (Some(first), Some(last)) => first..last + 1,
        _ => 0..n,
    }
}

fn inside(at: f64, n: usize) -> Option<usize> {
    (at >= 0.0 && at < n as f64).then_some(at as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn solid(color: [u8; 4], side: usize) -> Vec<u8> {
        encode(&color.repeat(side * side), (side, side)).unwrap()
    }

    fn pixels(png: &[u8]) -> image::RgbaImage {
        image::load_from_memory_with_format(png, image::ImageFormat::Png).unwrap().to_rgba8()
    }

    #[test]
    fn parts_stand_where_they_belong() {
        let part = |x: f64, y: f64| Placed { bounds: [x, y, x + 10.0, y + 10.0], shape: (5, 5) };
        let (a, b) = (part(100.0, 50.0), part(110.0, 40.0));
        let mut m = Mosaic::new(&[a, b]).unwrap();
        m.add(&a, &solid([255, 0, 0, 255], 5), "a").unwrap();
        m.add(&b, &solid([0, 0, 255, 255], 5), "b").unwrap();
        let picture = pixels(&m.png().unwrap());
        assert_eq!(picture.dimensions(), (10, 10));
        assert_eq!(picture.get_pixel(4, 4).0, [255, 0, 0, 255]);
        assert_eq!(picture.get_pixel(5, 5).0, [0, 0, 255, 255]);
        assert_eq!(picture.get_pixel(9, 0).0, [0, 0, 0, 0]);
        let mut m = Mosaic::new(&[a, b]).unwrap();
        m.add(&a, &solid([0, 0, 0, 0], 5), "a").unwrap();
        m.add(&b, &solid([0, 0, 255, 255], 5), "b").unwrap();
        assert_eq!(pixels(&m.png().unwrap()).dimensions(), (5, 5), "the empty rim is left out");
    }

    #[test]
    fn large_scenes_shrink_by_averaging() {
        let a = Placed { bounds: [0.0, 0.0, 2048.0, 2048.0], shape: (2048, 2048) };
        let mut m = Mosaic::new(&[a]).unwrap();
        let checkered: Vec<u8> = (0..2048 * 2048)
            .flat_map(|i| if (i + i / 2048) % 2 == 0 { [0, 0, 0, 255] } else { [200, 100, 50, 255] })
            .collect();
        m.add(&a, &encode(&checkered, (2048, 2048)).unwrap(), "a").unwrap();
        let picture = pixels(&m.png().unwrap());
        assert_eq!(picture.dimensions(), (1024, 1024));
        assert!(picture.pixels().all(|p| p.0 == [100, 50, 25, 255]));
    }

    #[test]
    fn nothing_and_nonsense_are_refused() {
        assert!(Mosaic::new(&[]).is_none());
        assert!(Mosaic::new(&[Placed { bounds: [0.0, 0.0, 0.0, f64::NAN], shape: (1, 1) }]).is_none());
        let a = Placed { bounds: [0.0, 0.0, 1.0, 1.0], shape: (1, 1) };
        assert!(Mosaic::new(&[a]).unwrap().add(&a, b"no picture", "x.png").is_err());
    }
}
